"""The edge by itself: what stands behind it is a double, unless a test asks for the stack."""
