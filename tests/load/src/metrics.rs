//! What a process says at `/metrics`, in the text format of Prometheus.

use anyhow::{Context as _, Result};

/// One answer.
pub struct Metrics(String);

impl Metrics {
    /// Asks the process at this address.
    pub async fn read(http: &str) -> Result<Self> {
        let answer = reqwest::get(format!("{http}/metrics")).await.context("metrics")?;
        Ok(Self(answer.text().await?))
    }

    /// The values of `name` whose labels hold `label`, such as `what="overtaken"`; of all, where it is empty.
    pub fn values(&self, name: &str, label: &str) -> impl Iterator<Item = f64> {
        self.0.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once(' ')?;
            labels.contains(label).then(|| value.parse().ok()).flatten()
        })
    }

    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.0.lines()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_name_and_the_label_and_of_no_longer_name() {
        let text = "# HELP a_total x\na_total{what=\"x\",context=\"b\"} 2\na_total{context=\"c\"} 0.5\na_total_more{what=\"x\"} 7\n";
        let metrics = Metrics(text.to_owned());
        let values = |label| metrics.values("a_total", label).collect::<Vec<_>>();
        assert_eq!((values(""), values("what=\"x\""), values("d")), (vec![2.0, 0.5], vec![2.0], vec![]));
    }
}
