"""Media: uploads are checked, pictures are made clean, and files are streamed in parts."""
