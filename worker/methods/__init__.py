"""What each public method does: it checks the params and asks the model managers."""
