-- The profiles in force: StructureDefinitions without the texts for readers, as they are compiled.
-- Of the node and not of a bucket, as terminology is: they name nobody, and every write may need
-- them. An address belongs to the sender that used it first.

create schema profiles;

create table profiles.structure (
    structure int generated always as identity primary key,
    rid bigint not null unique,
    sender int not null,
    since bigint not null,
    url text not null,
    version text not null,
    definition bytea not null
);
create index structure_url on profiles.structure (url);

-- Counts the transactions that changed a profile. A worker keeps what it compiled as long as this
-- number stands, so that a write that claims profiles asks for one number and not for each of them.
create table profiles.edition (edition bigint not null);
insert into profiles.edition values (0);
