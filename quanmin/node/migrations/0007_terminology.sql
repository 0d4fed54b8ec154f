-- What CodeSystems, ValueSets and ConceptMaps say, made to be asked. Of the node and not of a
-- bucket: it names nobody, and every search and validation may need all of it.

create schema terminology;

-- A record of one of the three types. `owner` is who has its canonical address: the sender that
-- used it first. `head` is the resource without its concepts and mappings.
create table terminology.resource (
    resource int generated always as identity primary key,
    type text not null check (type in ('CodeSystem', 'ValueSet', 'ConceptMap')),
    rid bigint not null,
    sender int not null,
    since bigint not null,
    url text not null,
    version text not null,
    supplements text,
    head jsonb not null,
    unique (type, rid)
);
create index resource_url on terminology.resource (url, type);
create index resource_supplements on terminology.resource (supplements)
    where supplements is not null;

-- The tables below hold rows of a resource without a foreign key: checking a hundred thousand rows
-- of one transaction against one row took half of the time of loading them.

-- `concept` is its place in the order of the definition, a parent before its children. `matched` is
-- the code as it is compared: folded where the system does not tell upper from lower case.
-- `words`, `pinyin`, `initials`: what a text filter looks at.
create table terminology.concept (
    resource int not null,
    concept int not null,
    matched text not null,
    code text not null,
    display text,
    is_abstract boolean not null,
    is_inactive boolean not null,
    parents int[],
    words text not null,
    pinyin text,
    initials text,
    more jsonb,
    primary key (resource, concept)
);
alter table terminology.concept add constraint concept_code unique (resource, matched);

-- Every ancestor of every concept, so that subsumption is one probe whatever the depth.
create table terminology.ancestor (
    resource int not null,
    ancestor int not null,
    concept int not null,
    primary key (resource, ancestor, concept)
);

create table terminology.property (
    resource int not null,
    concept int not null,
    code text not null,
    value text not null
);
create index property_value on terminology.property (resource, code, value, concept);

create table terminology.mapping (
    resource int not null,
    place int not null,
    source_system text not null,
    source text not null,
    target_system text not null,
    target text,
    equivalence text not null,
    display text,
    more jsonb,
    primary key (resource, place)
);
create index mapping_source on terminology.mapping (source, source_system, resource);
create index mapping_target on terminology.mapping (target, target_system, resource);
