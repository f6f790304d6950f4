"""Which of several kt-tycoons is the master: an agent beside each, which asks etcd."""
