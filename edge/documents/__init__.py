"""Documents as PDF: certificates, invoices and contracts."""
