"""Files: what no row names any more is removed from storage."""
