"""The checks of a consumer, a module for each part of its work. The function's name is the check's."""
