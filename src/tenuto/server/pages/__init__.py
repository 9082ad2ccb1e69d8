"""What people see in a browser: views, their templates and the few files that these need. Other rooms of the server know nothing of it."""
