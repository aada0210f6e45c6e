"""Train expression models with Keras 3 on FER2013, FER+ or your own folders."""
