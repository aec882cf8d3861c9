"""Small building blocks shared by the units."""
