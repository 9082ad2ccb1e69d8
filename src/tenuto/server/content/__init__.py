"""What lies in repos: files on their way out, uploads and commits on their way in."""
