"""What ties kt to other packages: one module for each, imported only by those who have it."""
