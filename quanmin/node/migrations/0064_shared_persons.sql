-- Of an institution's registrations those of whom others have sent something too: of the rest a
-- reader mostly sees all or nothing, and an array of kinds is long to compare for each of them.
create index person_shared on plans.person (sender, patient) where is_shared;
