"""What each layer sees and answers on the user's images."""
