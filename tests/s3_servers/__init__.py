"""S3 servers for tests, and a proxy that breaks what they say."""
