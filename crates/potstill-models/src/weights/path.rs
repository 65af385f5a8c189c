//! Where a visitor is inside a module.

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Weight of a linear map, `[d_in, d_out]`.
    Projection,
    /// Rows of vectors, `[rows, d_model]`.
    Table,
    /// Scale of a norm.
    Scale,
    /// Bias of anything.
    Bias,
}

/// The path from a module to one of its parameters.
#[derive(Debug, Default)]
pub(crate) struct ParameterPath {
    /// Field and what contains it, as burn's visitors name them.
    steps: Vec<(String, String)>,
}

impl ParameterPath {
    pub(crate) fn enter(&mut self, field: &str, container: &str) {
        self.steps.push((field.to_owned(), container.to_owned()));
    }

    pub(crate) fn exit(&mut self) {
        self.steps.pop();
    }

    /// The name of the tensor in a Hugging Face checkpoint.
    pub(crate) fn name(&self) -> String {
        let fields = self
            .steps
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"));
        fields
            .map(|(field, _)| match field.as_str() {
                // Neither can be the name of a field.
                "layer_norm" => "LayerNorm",
                "self_attention" => "self",
                field => field,
            })
            .collect::<Vec<_>>()
            .join(".")
    }

    /// What the parameter is for.
    pub(crate) fn kind(&self) -> Kind {
        let (field, container) = self
            .steps
            .last()
            .map_or(("", ""), |(field, container)| (field, container));
        match (container, field) {
            (_, "bias") => Kind::Bias,
            ("Struct:Linear", _) => Kind::Projection,
            ("Struct:Embedding", _) => Kind::Table,
            _ => Kind::Scale,
        }
    }
}
