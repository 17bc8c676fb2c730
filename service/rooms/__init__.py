"""Rooms, who may enter them and who made them."""
