"""The tools that the frameworks' agents are given; what they ran is added to a list."""


def tools_of(ran):
    def look_up(city: str) -> str:
        """Looks a city up."""
        ran.append(["look_up", {"city": city}])
        return "ok"

    def delete_all(path: str) -> str:
        """Deletes everything."""
        ran.append(["delete_all", {"path": path}])
        return "ok"

    def send_money(amount: float, note: str) -> str:
        """Sends money."""
        ran.append(["send_money", {"amount": amount, "note": note}])
        return "ok"

    return [look_up, delete_all, send_money]
