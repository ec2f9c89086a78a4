def checkin_sizes():
    raise AssertionError("todo")
