//! A headless Chromium that looks at the pages as a person would, driven through chromedriver.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};

/// A page that is not as it should be after this will not be.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: Client,
}

impl Browser {
    /// Opens a window of that size.
    pub async fn open(width: u32, height: u32) -> Result<Browser> {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("could not start chromedriver")?;
        let port = port_of(&mut driver)?;
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        let arguments = arguments.map(str::to_string).into_iter().chain([format!("--window-size={width},{height}")]);
        let capabilities = json!({ "goog:chromeOptions": {
            "args": arguments.collect::<Vec<_>>(),
            // `--window-size` has a lower bound; a phone is narrower.
            "mobileEmulation": { "deviceMetrics": { "width": width, "height": height, "pixelRatio": 1.0, "mobile": false } },
        } });
        let Value::Object(capabilities) = capabilities else { unreachable!("it is written as an object above") };
        let client = ClientBuilder::new(hyper_connector())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .context("could not open a window")?;
        Ok(Browser { driver, client })
    }

    /// Goes to an address.
    pub async fn go(&self, url: &str) -> Result<()> {
        self.client.goto(url).await.with_context(|| format!("could not open {url}"))
    }

    /// Returns the text that a person sees in the first element of that CSS selector, waiting until it is there.
    pub async fn text(&self, selector: &str) -> Result<String> {
        let element = self.client.wait().at_most(WAIT_LIMIT).for_element(Locator::Css(selector)).await;
        Ok(element.with_context(|| format!("there is no {selector}"))?.text().await?)
    }

    /// Waits until the element's text has the words.
    pub async fn wait_for_text(&self, selector: &str, words: &str, limit: Duration) -> Result<String> {
        let until = tokio::time::Instant::now() + limit;
        loop {
            let text = self.text(selector).await.unwrap_or_default();
            if text.contains(words) {
                return Ok(text);
            }
            if tokio::time::Instant::now() >= until {
                bail!("{selector} does not say \"{words}\" but:\n{text}");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Clicks on the first element of that CSS selector.
    pub async fn click(&self, selector: &str) -> Result<()> {
        let element = self.client.wait().at_most(WAIT_LIMIT).for_element(Locator::Css(selector)).await;
        element
            .with_context(|| format!("there is no {selector}"))?
            .click()
            .await
            .with_context(|| format!("could not click {selector}"))
    }

    /// Runs a script's body in the page and returns what it returns.
    pub async fn run(&self, script: &str) -> Result<Value> {
        self.client.execute(script, Vec::new()).await.with_context(|| format!("could not run {script}"))
    }

    /// Returns the names and values of all cookies of the page's host, those of no script, too.
    pub async fn cookies(&self) -> Result<Vec<(String, String)>> {
        let cookies = self.client.get_all_cookies().await?;
        Ok(cookies.iter().map(|cookie| (cookie.name().to_string(), cookie.value().to_string())).collect())
    }

    /// Returns the address that the window shows.
    pub async fn address(&self) -> Result<String> {
        Ok(self.client.current_url().await?.to_string())
    }

    /// Writes what the window shows as PNG.
    pub async fn screenshot(&self, path: &Path) -> Result<()> {
        fs::write(path, self.client.screenshot().await?).with_context(|| format!("could not write {}", path.display()))
    }

    /// Closes the window.
    pub async fn close(mut self) -> Result<()> {
        self.client.clone().close().await?;
        self.driver.kill()?;
        self.driver.wait()?;
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn hyper_connector() -> hyper_util::client::legacy::connect::HttpConnector {
    hyper_util::client::legacy::connect::HttpConnector::new()
}

/// Reads the port from what chromedriver says first: "… started successfully on port 12345."
fn port_of(driver: &mut Child) -> Result<u16> {
    let mut lines = BufReader::new(driver.stdout.take().context("chromedriver says nothing")?).lines();
    for line in lines.by_ref() {
        let line = line?;
        if let Some(rest) = line.split("on port ").nth(1).filter(|_| line.contains("successfully")) {
            let port = rest.trim_end_matches('.').parse().with_context(|| format!("could not read the port of {line}"));
            // It must be able to go on talking.
            std::thread::spawn(move || lines.for_each(drop));
            return port;
        }
    }
    bail!("chromedriver ended before it was ready")
}
