"""A real Chromium without a window, for what only a browser can tell."""

import contextlib
import json
import shutil

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-dev-shm-usage",  # small in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1200,900",
)


def why_no_browser():
    """Say what is missing, or None."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    if not (shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")):
        return "there is no Chromium on the path"
    if not shutil.which("chromedriver"):
        return "there is no chromedriver on the path"
    return None


needs_browser = pytest.mark.skipif(why_no_browser() is not None, reason=str(why_no_browser()))


@contextlib.contextmanager
def open_browser(user_data_dir, *, dark=False):
    """Start a browser with a profile of its own, that writes down its console and its requests."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = next(
        path for path in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if path
    )
    for flag in (*FLAGS, f"--user-data-dir={user_data_dir}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # The driver is named, so that selenium doesn't look for one on the network.
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        set_dark(driver, dark)
        driver.get("about:blank")
        for log in ("browser", "performance"):  # what its own start page asked for
            driver.get_log(log)
        yield driver
    finally:
        driver.quit()


def set_dark(driver, dark):
    """Ask pages for their dark or light colours."""
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def requested_urls(driver):
    """URLs that pages asked for since the last call, without data inside the page."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("data:", "blob:"))]


def print_to_pdf(driver):
    """The page as a PDF."""
    import base64

    settings = {"printBackground": False, "preferCSSPageSize": True}
    return base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", settings)["data"])
