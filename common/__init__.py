"""What the edge and the embedded stack share. It imports neither."""
