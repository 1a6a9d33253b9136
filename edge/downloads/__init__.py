"""Downloads: short-lived links to the files of an order."""
