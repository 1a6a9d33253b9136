"""Views of courses: counted in memory, and written to the database in sums."""
