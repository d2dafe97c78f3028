"""A trained classifier as what is deployed: an ONNX graph, perhaps in 8 bits; how small and fast that is."""
