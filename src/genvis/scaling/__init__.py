"""Many videos, by many processes on many machines: shares of a list, claims, manifests, and engines that run them."""
