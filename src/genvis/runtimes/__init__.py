"""Exported networks: graphs run by ONNX Runtime or OpenVINO behind the protocols of the networks they were made of."""
