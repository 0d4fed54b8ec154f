"""Who is who: which source Patients are one person."""
