"""Mail: the templates, a file for each row of private.mail_templates, and the delivery over SMTP."""
