"""Networks that were trained elsewhere, and whose weights may be used freely."""
