-- What a security administrator writes are entries of the registers: under the sender that the
-- registers know, not under one of the account's own.
update trust.actor set sender = 'register' where role = 'security_administrator' and sender = '';
