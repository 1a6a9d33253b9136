"""Mail: its words in `templates/`, a folder for each row of private.mail_templates, and its way over SMTP."""
