"""The computer that a job is submitted to: it keeps the job, opens sessions, and hands the tasks out."""
