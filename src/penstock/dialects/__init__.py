"""The HTTP control APIs of established servers, each over `penstock.control` alone."""
