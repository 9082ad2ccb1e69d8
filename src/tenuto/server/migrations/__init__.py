"""Steps that bring the database of a hub from any older version to this one."""
