"""SURVEY: what is here, for people, machines and CI: inventories, checksums, the smoke check."""
