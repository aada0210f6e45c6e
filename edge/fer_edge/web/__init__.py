"""A live page for the owner of a device, and answers for programs: HTTP, off unless asked for."""
