"""The web application: watch results, correct them, take them along."""
