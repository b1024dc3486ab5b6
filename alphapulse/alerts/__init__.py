"""What people are told: mails, committed with their cause and delivered by a job."""
