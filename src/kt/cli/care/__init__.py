"""How a server or a file is: `top` watches it, `doctor` finds what is wrong, `bench` loads it."""
