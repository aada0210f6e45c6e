"""Turn a Keras model into a full-int8 TFLite bundle, and measure what that cost."""
