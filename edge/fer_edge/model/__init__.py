"""The model bundle: its files, its interpreter, its classifier, its golden faces."""
