"""Media: uploads, lesson media, profile media and playing."""
