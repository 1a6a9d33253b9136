"""The mailbox: it catches every mail that the stack sends, and shows it."""
