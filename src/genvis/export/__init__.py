"""Export of models: graphs for ONNX Runtime and OpenVINO, verified against PyTorch before they count."""
