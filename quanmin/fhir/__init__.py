"""The language: FHIR R4 as data, JSON, validation and search grammar, without input or output."""
