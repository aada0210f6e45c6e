"""What the device knows about itself over months: counts of what it saw, never pictures, places or identities."""
