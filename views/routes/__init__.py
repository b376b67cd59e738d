"""Parts of the Routing page: rules and their form, the queue, misrouting, owners."""
