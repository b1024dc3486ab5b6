"""Ways for mails to leave; the setting ``mail`` names one of them."""
