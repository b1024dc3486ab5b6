"""Backups: made, read again, proved and put back."""
