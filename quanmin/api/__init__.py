"""The door for machines: FHIR over HTTP."""
