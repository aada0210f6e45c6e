"""How good a model is: metrics, reports, plots, robustness."""
